-- Keeps what the leader knows of a rollout, unless another leader has taken over.
--
-- KEYS[1]  memories: of the judge, by rollout
-- KEYS[2]  progress: what the judge says, by rollout
-- KEYS[3]  the fence: the token of the latest leader
-- ARGV     token, id, memory or "" to leave it, progress or "" to leave it
-- -> 1 kept, -1 another leader has taken over

if tonumber(ARGV[1]) < tonumber(redis.call('GET', KEYS[3]) or '0') then
  return -1
end
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
end
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
end
return 1
