-- ARGV: 2 holder, 3 lease in µs (0: none is asked for), 4 µs that an inbox lives, 5 request id, 6 fingerprint, 7 entry
-- Gives {state, outcome or false, fence or false, holder of the lease where it is another}; an answer that is in a turn is given as that turn.
local holder, length, unanswered = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local id, fingerprint, entry = ARGV[5], ARGV[6], ARGV[7]

local waits = redis.call('ZSCORE', INBOX, id)
local done = answered(id)
if waits or done then
  local known = redis.call('HGET', REQUESTS, 'f:' .. id)
  if known and known ~= fingerprint then return {'conflict', false, false, ''} end
end
if done then
  local outcome = redis.call('HGET', REQUESTS, 'o:' .. id)
  if string.sub(outcome, 1, 1) == 'T' then
    outcome = 'T' .. redis.call('LINDEX', TURNS, tonumber(string.sub(outcome, 2)) - 1)
  end
  return {'done', outcome, false, ''}
end
if not waits then
  redis.call('ZADD', INBOX, redis.call('HINCRBY', META, 'arrivals', 1), id)
  redis.call('HSET', REQUESTS, 'f:' .. id, fingerprint, 'e:' .. id, entry)
  redis.call('HDEL', REQUESTS, 'o:' .. id)
end
live_at_least(now + unanswered)
local fence = length > 0 and take_lease(holder, length)
return {waits and 'running' or 'new', false, fence, fence and '' or running_holder()}
