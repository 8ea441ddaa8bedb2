"""Interchange with other programs: Hugging Face folders and GGUF files.

A family file (gpt2.py, llama.py …) says in plain functions how one or more Hugging Face classes relate to our slots:
its contract is models.interop.family.Family, and families.py lists them all. reading.py and export.py do the rest.
"""
