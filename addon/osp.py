"""What `mitmdump -s addon/osp.py` loads."""

from osp_gateway.mitm.addon import OspAddon
from osp_gateway.mitm.commands import CommandsAddon

gateway = OspAddon()
addons = [gateway, CommandsAddon(gateway)]
