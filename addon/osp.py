"""What `mitmdump -s addon/osp.py` loads."""

from osp_gateway.mitm.addons import script_addons

addons = script_addons()
