from corten.config.settings import Settings as Settings
from corten.engine.archives import copy as copy
from corten.engine.archives import load as load
from corten.engine.archives import save as save
from corten.engine.bootstrap import BootstrapOptions as BootstrapOptions
from corten.engine.bootstrap import bootstrap as bootstrap
from corten.engine.build import BuildOptions as BuildOptions
from corten.engine.build import build as build
from corten.engine.checking.check import check as check
from corten.engine.containers import run as run
from corten.engine.creation import ContainerOptions as ContainerOptions
from corten.engine.host import Host as Host
from corten.engine.images import inspect as inspect
from corten.engine.images import tag as tag
from corten.engine.transfer import pull as pull
from corten.engine.transfer import push as push
from corten.errors import CortenError as CortenError
from corten.events.job import Job as Job
from corten.oci.descriptor import Descriptor as Descriptor
from corten.oci.digest import Digest as Digest
from corten.oci.platform import Platform as Platform
from corten.oci.reference import Reference as Reference

__version__: str
