"""The GGUF format: written, quantized and run without a compiler, and equal to its source by proof."""
