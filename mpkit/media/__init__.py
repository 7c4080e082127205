"""Pictures, videos and sound in and out, one frame at a time. Every mistake of a user raises MediaError."""
