-- Gives {created, updated, alive, turns, chain}, or nothing where there is no turn.
if meta('turns') == 0 then return {} end
return redis.call('HMGET', META, 'created', 'updated', 'alive', 'turns', 'chain')
