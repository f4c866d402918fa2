-- One step on one pool: the maths of policy/window.py on the time of Redis. A property test holds the two together.
--
-- KEYS[1]  the windows: a string of little-endian int64. Head: newest bucket, sums of the window (requests, tokens in, tokens
--          out), end of the silence in microseconds, the newest bucket (requests, in, out). Then 121 triples, bucket b at
--          b % 121; the place of the newest bucket means nothing, because that one is kept in the head.
-- KEYS[2]  requests under way: a sorted set of permit ids by the instant at which they lapse, in microseconds
-- ARGV[1]  operation
-- ARGV[2]  words with spaces between, so that who asks has one thing to pack: now in microseconds, "-" for the time of Redis,
--          then what the operation takes; further arguments follow
--
-- Everything is decided before anything is written, so an error leaves the pool as it was.

local SPAN, BUCKET, MINUTE = 121, 500000, 60000000
local HEAD, KEEP = 64, 400000 -- bytes, milliseconds
local windows, slots, op = KEYS[1], KEYS[2], ARGV[1]

local words = {}
for word in string.gmatch(ARGV[2], '%S+') do
  words[#words + 1] = word
end

local now = tonumber(words[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local head = redis.call('GETRANGE', windows, 0, HEAD - 1)
local cursor, requests, read, written, cool, r0, i0, o0 = 0, 0, 0, 0, 0, 0, 0, 0
if #head == HEAD then
  cursor, requests, read, written, cool, r0, i0, o0 = struct.unpack('<i8i8i8i8i8i8i8i8', head)
end

local function place(bucket)
  return HEAD + bucket % SPAN * 24
end

local function ring()
  local row = redis.call('GETRANGE', windows, HEAD, -1)
  return { struct.unpack('<' .. string.rep('i8', 3 * SPAN), row .. string.rep('\0', 24 * SPAN - #row)) }
end

local function set(writes, bucket, r, i, o)
  writes[#writes + 1] = { place(bucket), struct.pack('<i8i8i8', r, i, o) }
end

-- Let the window move on: what has left it is taken off the sums. A step back of the clock stands still; one by more than a
-- window, and a quiet of more than a window, start afresh.
local writes = {}
local newest = math.floor(now / BUCKET)
local moved = newest > cursor
local afresh = newest - cursor >= SPAN or cursor - newest >= SPAN
if afresh then
  requests, read, written, r0, i0, o0 = 0, 0, 0, 0, 0, 0
elseif moved then
  local cells = ring()
  for passed = cursor + 1, newest do
    local at = passed % SPAN * 3
    local r, i, o = cells[at + 1], cells[at + 2], cells[at + 3]
    if r ~= 0 or i ~= 0 or o ~= 0 then
      requests, read, written = requests - r, read - i, written - o
      if passed < newest then
        set(writes, passed, 0, 0, 0)
      end
    end
  end
  set(writes, cursor, r0, i0, o0)
  r0, i0, o0 = 0, 0, 0
else
  newest = cursor
end

local function save()
  if afresh then
    redis.call('DEL', windows)
  end
  redis.call('SETRANGE', windows, 0,
    struct.pack('<i8i8i8i8i8i8i8i8', newest, requests, read, written, cool, r0, i0, o0))
  for _, write in ipairs(writes) do
    redis.call('SETRANGE', windows, write[1], write[2])
  end
  if afresh or moved then
    redis.call('PEXPIRE', windows, KEEP)
  end
end

local function add(bucket, r, i, o)
  if newest - bucket >= SPAN then
    return
  end
  requests, read, written = requests + r, read + i, written + o
  if bucket >= newest then
    r0, i0, o0 = r0 + r, i0 + i, o0 + o
    return
  end
  local was = { 0, 0, 0 }
  if bucket == cursor then
    was = { struct.unpack('<i8i8i8', head, 41) }
  elseif bucket < cursor and not afresh then
    local cells = redis.call('GETRANGE', windows, place(bucket), place(bucket) + 23)
    was = { struct.unpack('<i8i8i8', cells .. string.rep('\0', 24 - #cells)) }
  end
  for _, write in ipairs(writes) do -- what this step has put there already
    if write[1] == place(bucket) then
      was = { struct.unpack('<i8i8i8', write[2]) }
    end
  end
  set(writes, bucket, was[1] + r, was[2] + i, was[3] + o)
end

local function lease(id, lasts)
  redis.call('ZADD', slots, string.format('%.0f', now + lasts), id)
  redis.call('PEXPIRE', slots, math.ceil(lasts / 1000) + KEEP)
end

local function under_way(most)
  local busy = redis.call('ZCARD', slots)
  if busy >= most then
    redis.call('ZREMRANGEBYSCORE', slots, '-inf', string.format('%.0f', now))
    busy = redis.call('ZCARD', slots)
  end
  return busy
end

local function fits(used, need, most)
  return used + need <= most or used <= 0 or need <= 0
end

local function column_of(name, r, i, o)
  return name == 'rpm' and r or name == 'tpm' and i + o or name == 'itpm' and i or o
end

-- Microseconds until enough has left the window, oldest bucket first; asked before this step adds anything.
local function wait(row, name, need, most)
  local used = column_of(name, requests, read, written)
  if most == 0 or fits(used, need, most) then
    return 0
  end
  for leaving = newest - SPAN + 1, newest do
    local at, r, i, o = place(leaving) - HEAD + 1, 0, 0, 0
    if leaving == newest then
      r, i, o = r0, i0, o0
    elseif leaving == cursor then
      r, i, o = struct.unpack('<i8i8i8', head, 41)
    elseif leaving < cursor and at < #row then
      r, i, o = struct.unpack('<i8i8i8', row, at)
    end
    if r ~= 0 or i ~= 0 or o ~= 0 then
      used = used - column_of(name, r, i, o)
      if fits(used, need, most) then
        return (leaving + SPAN) * BUCKET - now + 1
      end
    end
  end
  return MINUTE
end

-- id, tokens in, tokens out, instant after which nobody waits for the answer ("-": never); arguments: rpm, tpm, itpm, otpm,
-- concurrency (each 0: not limited), lease in microseconds
-- -> {1, bucket, requests, in, out, under way} or {0, dimension, wait in microseconds, requests, in, out, under way}, {-1} when too late
if op == 'take' then
  if now > (tonumber(words[5]) or now) then
    return { -1 }
  end
  local tokens_in, tokens_out = tonumber(words[3]), tonumber(words[4])
  local rpm, tpm, itpm, otpm = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
  local concurrency, lasts = tonumber(ARGV[7]), tonumber(ARGV[8])
  local busy = concurrency > 0 and under_way(concurrency) or 0
  local full = concurrency > 0 and busy >= concurrency
  if not full and cool <= now
    and (rpm == 0 or fits(requests, 1, rpm))
    and (tpm == 0 or fits(read + written, tokens_in + tokens_out, tpm))
    and (itpm == 0 or fits(read, tokens_in, itpm))
    and (otpm == 0 or fits(written, tokens_out, otpm)) then
    add(newest, 1, tokens_in, tokens_out)
    save()
    if concurrency > 0 then
      lease(words[2], lasts)
      busy = busy + 1
    end
    return { 1, newest, requests, read, written, busy }
  end
  local row = redis.call('GETRANGE', windows, HEAD, -1)
  local longest, dimension = 0, ''
  for _, held in ipairs({
    { 'rpm', wait(row, 'rpm', 1, rpm) },
    { 'tpm', wait(row, 'tpm', tokens_in + tokens_out, tpm) },
    { 'itpm', wait(row, 'itpm', tokens_in, itpm) },
    { 'otpm', wait(row, 'otpm', tokens_out, otpm) },
    { 'concurrency', full and 1000000 or 0 },
    { 'cooldown', cool - now },
  }) do
    if held[2] > longest then
      dimension, longest = held[1], held[2]
    end
  end
  return { 0, dimension, longest, requests, read, written, busy }
end

-- id ("-" when it holds no slot), bucket of the admission, what to add to it: requests, tokens in, tokens out
-- -> requests, in, out, under way
if op == 'correct' then
  add(tonumber(words[3]), tonumber(words[4]), tonumber(words[5]), tonumber(words[6]))
  save()
  if words[2] ~= '-' then
    redis.call('ZREM', slots, words[2])
  end
  return { requests, read, written, redis.call('ZCARD', slots) }
end

-- id, lease in microseconds
if op == 'touch' and redis.call('ZSCORE', slots, words[2]) then
  lease(words[2], tonumber(words[3]))
end

-- microseconds
if op == 'cool' then
  cool = math.max(cool, now + words[2])
  save()
end

-- dimension, limit, what the provider says is left, microseconds until it counts from zero again
if op == 'learn' then
  local name = words[2]
  local missing = words[3] - column_of(name, requests, read, written) - math.max(tonumber(words[4]), 0)
  if missing > 0 then
    local leaves = math.ceil((now + words[5]) / BUCKET)
    local bucket = math.min(math.max(leaves - SPAN, newest - SPAN + 1), newest)
    add(bucket, name == 'rpm' and missing or 0, (name == 'tpm' or name == 'itpm') and missing or 0,
      name == 'otpm' and missing or 0)
    save()
  end
end

-- What a replica admitted by itself: rest of a silence in microseconds, number of buckets; arguments: for each its age in
-- buckets, requests, tokens in, tokens out, then its requests under way: id and microseconds until it lapses
if op == 'merge' then
  local at = 3
  for _ = 1, words[3] do
    add(newest - ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]))
    at = at + 4
  end
  if tonumber(words[2]) > 0 then
    cool = math.max(cool, now + words[2])
  end
  save()
  for id = at, #ARGV, 2 do
    lease(ARGV[id], tonumber(ARGV[id + 1]))
  end
end

return newest
