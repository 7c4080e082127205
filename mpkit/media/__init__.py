"""Pictures, videos and sound: reading and writing. All errors that a user can cause are MediaErrors."""
