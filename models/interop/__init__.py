"""Interchange with other programs: Hugging Face folders and GGUF files.

A family file (gpt2.py, llama.py …) maps one or more Hugging Face classes to Terrarium's model config and weights in
plain functions: its contract is models.interop.family.Family, and families.py lists them all.
"""
