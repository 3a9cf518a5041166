-- KEYS: 1 places, 2 tokens, as of quota_take. ARGV: 1 ticket, 2 day, 3 tokens to add (below 0: give back)
redis.call('ZREM', KEYS[1], ARGV[1])
local used = redis.call('HGET', KEYS[2], ARGV[2])
if used then
  redis.call('HSET', KEYS[2], ARGV[2], string.format('%.0f', math.max(0, tonumber(used) + tonumber(ARGV[3]))))
end
return 1
