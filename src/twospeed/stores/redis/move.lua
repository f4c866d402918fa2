-- Keeps one move of a rollout, or nothing: its version must follow the one that is kept, and its token be no older than any
-- leader's since. What Redis has lost is taken from whoever still knows it.
--
-- KEYS[1]  versions: by rollout
-- KEYS[2]  held: rollouts as they stand, by id
-- KEYS[3]  moves: a stream of the latest
-- KEYS[4]  the fence: the token of the latest leader
-- ARGV     id, version, the rollout, the move, token or 0 for people, moves to keep, channel to tell
-- -> 1 kept, 0 somebody else was first, -1 another leader has taken over

local token = tonumber(ARGV[5])
if token > 0 and token < tonumber(redis.call('GET', KEYS[4]) or '0') then
  return -1
end
local version = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if version > 0 and tonumber(ARGV[2]) ~= version + 1 then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[6], '*', 'move', ARGV[4])
redis.call('PUBLISH', ARGV[7], ARGV[1])
return 1
