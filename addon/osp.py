"""What `mitmdump -s addon/osp.py` loads."""

from osp_gateway.mitm.addons import gateway_addons

addons = gateway_addons()
