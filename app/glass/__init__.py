"""What the glass box looks at: a text as the model read and wrote it, and the token under the cursor. No widgets."""
