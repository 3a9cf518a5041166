-- ARGV: 2 request id. Gives "A…", "F…", "T<chain> <turn>" or false.
local outcome = redis.call('HGET', REQUESTS, 'o:' .. ARGV[2])
if outcome and string.sub(outcome, 1, 1) == 'T' then
  return 'T' .. redis.call('LINDEX', TURNS, tonumber(string.sub(outcome, 2)) - 1)
end
return outcome
