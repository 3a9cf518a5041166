-- Gives the entries that wait, in order of arrival.
local ids = redis.call('ZRANGE', INBOX, 0, -1)
local entries = {}
for place, id in ipairs(ids) do entries[place] = redis.call('HGET', REQUESTS, 'e:' .. id) end
return entries
