"""What `train_speed.py` compares: our training loop, and a plain loop over smp."""
