"""The schemes of the URLs that Redis, or a cluster, is reached at."""

REDIS_SCHEMES = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)
HTTP_SCHEMES = ("http", "https")
