-- ARGV: 2 chain, 3 how many at most. Gives the chain's last turns, newest first.
-- Chains never go down, so the search ends at the first turn of an earlier one.
local chain, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
local found = {}
local place = redis.call('LLEN', TURNS) - 1
while place >= 0 and #found < limit do
  local first = math.max(0, place - 15)
  local block = redis.call('LRANGE', TURNS, first, place)
  for index = #block, 1, -1 do
    local its = tonumber(string.match(block[index], '^%d+'))
    if its < chain or #found == limit then return found end
    if its == chain then found[#found + 1] = block[index] end
  end
  place = first - 1
end
return found
