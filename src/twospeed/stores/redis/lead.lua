-- Who leads: takes the lease when nobody has it, renews it when this host has.
--
-- KEYS[1]  the lease: who leads; it ends by itself
-- KEYS[2]  the fence: the token of the latest leader
-- ARGV     name of this host, life of the lease in milliseconds
-- -> the token of this host, 0 when another one leads

local leader = redis.call('GET', KEYS[1])
if leader == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return tonumber(redis.call('GET', KEYS[2]) or '0')
end
if leader then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return redis.call('INCR', KEYS[2])
