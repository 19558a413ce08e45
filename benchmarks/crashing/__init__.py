"""What `crash.py` is made of: processes to kill, work for them, and what must survive."""
