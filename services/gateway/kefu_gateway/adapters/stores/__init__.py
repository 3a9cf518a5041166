"""Where sessions, pictures and uploads are kept. One contract suite (tests/contract/stores) runs against every store.

- `sqlite.SqliteSessions`: one gateway, one file.
- `valkey.ValkeySessions`: several gateways on one Valkey or Redis.
- `pictures.ObjectPictures`, `uploads.ObjectUploads`: a folder, S3 or another object store.
- `sweeper`: deletes what has outlived its time.
"""
