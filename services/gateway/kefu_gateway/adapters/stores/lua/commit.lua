-- ARGV: 2 fence, 3 number, 4 chain, 5 created, 6 µs to live, 7 µs that an inbox lives,
--   8 "<chain> <turn>" or empty where only the outcome is kept, 9 "A<answer>" then,
--   10 how many requests, then they, then the turn's pictures
-- Gives "ok", or why nothing was written: "pictures" (they are not noted yet), "lost", "answered", "number", "chain".
local fence, number, chain, created = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local alive, unanswered = now + tonumber(ARGV[6]), tonumber(ARGV[7])
local kept, outcome, count = ARGV[8], ARGV[9], tonumber(ARGV[10])
local turns = meta('turns')

-- This very turn is there: its writer did not hear that it succeeded, and tries again.
if kept ~= '' then
  if number <= turns and redis.call('LINDEX', TURNS, number - 1) == kept then return 'ok' end
else
  local same = 0
  for place = 11, 10 + count do
    if redis.call('HGET', REQUESTS, 'o:' .. ARGV[place]) == outcome then same = same + 1 end
  end
  if same == count then return 'ok' end
end

if not holds(fence) then return 'lost' end
for place = 11, 10 + count do
  if answered(ARGV[place]) then return 'answered' end
end
if kept ~= '' then
  if number ~= turns + 1 then return 'number' end
  if chain < math.max(1, meta('chain')) then return 'chain' end
  for place = 11 + count, #ARGV do
    if redis.call('SISMEMBER', PICTURES, ARGV[place]) == 0 then return 'pictures' end
  end
  redis.call('RPUSH', TURNS, kept)
  redis.call('HSETNX', META, 'created', created)
  redis.call('HSET', META, 'updated', created, 'turns', ARGV[3], 'chain', ARGV[4])
  outcome = 'T' .. ARGV[3]
else
  alive = math.max(alive, meta('expires'))
end
for place = 11, 10 + count do
  local id = ARGV[place]
  redis.call('ZREM', INBOX, id)
  redis.call('HDEL', REQUESTS, 'e:' .. id)
  redis.call('HSET', REQUESTS, 'o:' .. id, outcome)
end
redis.call('HSET', META, 'expires', whole(alive))
if redis.call('ZCARD', INBOX) > 0 then alive = math.max(alive, now + unanswered) end
live(alive)
return 'ok'
