"""An OpenAI-compatible endpoint on this machine alone: ASGI, and the turns that its requests take. It knows no Qt."""
