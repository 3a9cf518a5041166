"""Kefu's model host: fetches weights, exports tokenizers, and runs NVIDIA Triton.

python -m kefu_modelhost pull reader
python -m kefu_modelhost serve --model reader
"""
