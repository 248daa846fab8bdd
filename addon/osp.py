"""What `mitmdump -s addon/osp.py` loads."""

from osp_gateway.mitm.addon import OspAddon

addons = [OspAddon()]
