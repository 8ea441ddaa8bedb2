"""An OpenAI-compatible endpoint for this computer only: the ASGI application and its request scheduler. No Qt."""
