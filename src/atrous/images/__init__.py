"""The pixels of a photo: decode, preprocess and draw. The only copy of each."""
