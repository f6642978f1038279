-- Messages stand in the archive: they need not wait any more.
-- KEYS  1 archive   ARGV  ids of entries
-- Returns how many of them were still there.   O(ids)
redis.call('XACK', KEYS[1], 'archive', unpack(ARGV))
return redis.call('XDEL', KEYS[1], unpack(ARGV))
