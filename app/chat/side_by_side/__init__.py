"""The page on which several models reply to the same prompt, and each reply is scored by the others."""
