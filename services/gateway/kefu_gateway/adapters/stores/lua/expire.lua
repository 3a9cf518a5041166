-- Gives {until when it lives} for a session that is alive, else {"", hashes that it noted…}.
if redis.call('EXISTS', META) == 1 then return {whole(meta('alive'))} end
local gone = redis.call('SMEMBERS', PICTURES)
table.insert(gone, 1, '')
return gone
