"""The networks: DeepLabv3 and DeepLabv3+ on timm backbones; nothing about how they are trained."""
