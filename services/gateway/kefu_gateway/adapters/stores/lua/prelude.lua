-- What every script begins with. KEYS are those of one session and lie in one cluster slot:
--   1 meta      hash: created, updated (as given), expires, alive (µs), turns, chain, arrivals
--   2 turns     list: "<chain> <turn as JSON>", the turn's number is its place
--   3 inbox     sorted set: request ids by arrival
--   4 requests  hash: f:<id> fingerprint, e:<id> entry while it waits,
--               o:<id> outcome: "T<number>" answered by that turn, "A<JSON>" answered, "F<JSON>" failed
--   5 pictures  set: hashes that the session notes; outlives it, until a sweep has given them free
--   6 lease     hash: holder, until (µs), fence; the fence outlives the session
-- ARGV[1]: microseconds since the epoch, or empty: then the server's clock, the same one for every gateway.
-- Microseconds are whole numbers below 2^53: Lua's doubles hold them exactly, if they are printed by whole().
local META, TURNS, INBOX, REQUESTS, PICTURES, LEASE =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]

local function whole(number) return string.format('%.0f', number) end

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function meta(field) return tonumber(redis.call('HGET', META, field) or '0') end

-- Forgets everything but the pictures, which a sweep gives free, and the last fence, which is never given twice.
local function forget()
  redis.call('DEL', META, TURNS, INBOX, REQUESTS)
  redis.call('HDEL', LEASE, 'holder', 'until')
end

-- A session that has outlived its time is gone, swept away or not.
if redis.call('EXISTS', META) == 1 and meta('alive') <= now then forget() end

-- Lets the session live until then, and a minute more: what nobody sweeps away goes by itself.
local function live(alive)
  redis.call('HSET', META, 'alive', whole(alive))
  local milliseconds = whole(math.max(0, math.ceil((alive - now) / 1000)) + 60000)
  for _, key in ipairs({META, TURNS, INBOX, REQUESTS}) do
    redis.call('PEXPIRE', key, milliseconds)
  end
end

local function live_at_least(alive) live(math.max(alive, meta('alive'))) end

-- Where nothing waits any more, the session lives as long as its last turn lets it. Gives until when, or '' where that
-- stays as it was.
local function settle()
  local expires = meta('expires')
  if expires <= now or redis.call('ZCARD', INBOX) > 0 then return '' end
  live(expires)
  return whole(expires)
end

-- The lease is free, or has run out, or is the holder's own: then its running fence is given again.
local function take_lease(holder, length)
  local lease = redis.call('HMGET', LEASE, 'holder', 'until', 'fence')
  local running, ends, fence = lease[1], tonumber(lease[2] or '0'), lease[3]
  if running and running ~= holder and ends > now then return false end
  if running ~= holder then
    -- Larger than the last one, and than any that was given before this key was lost.
    fence = whole(math.max(tonumber(fence or '0') + 1, now))
    ends = 0
  end
  local until_ = math.max(ends, now + length)
  redis.call('HSET', LEASE, 'holder', holder, 'until', whole(until_), 'fence', fence)
  redis.call('PEXPIRE', LEASE, whole(math.ceil((until_ - now) / 1000) + 86400000))
  return fence
end

local function holds(fence)
  local lease = redis.call('HMGET', LEASE, 'holder', 'fence')
  return lease[1] and lease[2] == fence
end

local function running_holder() return redis.call('HGET', LEASE, 'holder') or '' end

local function answered(id)
  local outcome = redis.call('HGET', REQUESTS, 'o:' .. id)
  return outcome and string.sub(outcome, 1, 1) ~= 'F'
end
