-- Gives the pictures that the session noted; whoever asks gives them free.
forget()
return redis.call('SMEMBERS', PICTURES)
