"""What every floor stands on: caches, files, progress, provenance, torchvision."""
