"""Tokenizers from elsewhere, read so that their ids are those of their own libraries, or refused. No torch."""
