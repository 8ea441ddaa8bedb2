"""Parts of a design that users write: manifest, consent, loading, and what they cost."""
