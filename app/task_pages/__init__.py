"""Other ways to use a model than a chat: a notebook, masks to fill, and texts made of texts."""
