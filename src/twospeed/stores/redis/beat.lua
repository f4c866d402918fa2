-- A replica shows that it is alive and learns who else is, in one step that needs a Redis that can write.
--
-- KEYS[1]  the epoch: made up by the first who comes; a new one means that Redis has forgotten everything
-- KEYS[2]  replicas: a sorted set of their names by when they were last heard of
-- KEYS[3]  the news: a stream, kept alive
-- ARGV     microseconds or "", an epoch to use if there is none, name of the replica, life of a silent replica (microseconds)
-- -> {epoch, now in microseconds, replicas}

local DAY = 86400000
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
redis.call('SET', KEYS[1], ARGV[2], 'NX')
redis.call('PEXPIRE', KEYS[1], DAY)
redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('(%.0f', now - ARGV[4]))
redis.call('PEXPIRE', KEYS[2], DAY)
redis.call('PEXPIRE', KEYS[3], DAY)
return { redis.call('GET', KEYS[1]), now, redis.call('ZCARD', KEYS[2]) }
