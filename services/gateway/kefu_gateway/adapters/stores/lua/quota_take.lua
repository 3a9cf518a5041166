-- KEYS, all of one tenant, in one cluster slot:
--   1 rate    string: µs since the epoch when the bucket is full again (GCRA)
--   2 places  sorted set: tickets by when they lapse (µs)
--   3 tokens  hash: day (since the epoch) → tokens used and reserved
-- ARGV: 1 µs now or empty (then the server's clock), 2 µs between two questions or 0, 3 depth of the bucket,
--   4 places or 0, 5 tokens a day or 0, 6 ticket, 7 tokens of this question, 8 µs after which its place lapses
-- Gives {'taken', day} or {limit, µs until it may be tried again}.
local function whole(number) return string.format('%.0f', number) end

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local interval, depth = tonumber(ARGV[2]), tonumber(ARGV[3])
local places, most, tokens = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[7])
local length = tonumber(ARGV[8])
local day = math.floor(now / 86400000000)

local function keep(full)
  redis.call('SET', KEYS[1], whole(full), 'PX', whole(math.ceil((full - now) / 1000) + 1000))
end

local full = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
if interval > 0 then
  -- No emptier than empty: what was taken under a slower rule is not paid back at that rule's pace.
  local empty = now + depth * interval
  if full > empty then
    full = empty
    keep(full)
  end
  local opens = full + interval - depth * interval
  if opens > now then return {'turns_per_second', whole(opens - now)} end
  full = full + interval
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', whole(now))
if places > 0 and redis.call('ZCARD', KEYS[2]) >= places then
  return {'concurrent_turns', '0'}
end
local used = tonumber(redis.call('HGET', KEYS[3], whole(day)) or '0')
if most > 0 and used + tokens > most then
  return {'tokens_per_day', whole((day + 1) * 86400000000 - now)}
end

if interval > 0 then keep(full) end
redis.call('ZADD', KEYS[2], whole(now + length), ARGV[6])
redis.call('PEXPIRE', KEYS[2], whole(math.ceil(length / 1000) + 60000))
if used == 0 then redis.call('DEL', KEYS[3]) end -- another day's are of no use any more
redis.call('HSET', KEYS[3], whole(day), whole(used + tokens))
redis.call('EXPIRE', KEYS[3], 172800)
return {'taken', whole(day)}
