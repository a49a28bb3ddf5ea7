"""An embedded Kubernetes cluster: a small API server in memory with the controllers a training job needs.

Behind `rackplane cluster`, the demo and the tests. It answers what it implements as Kubernetes 1.36 does and
everything else with 501.
"""

from .clocks import WallClock
from .cluster import USERS, LocalCluster, NotSettled
from .errors import ApiError
from .faults import Fault
from .requests import Request, Response

__all__ = ["USERS", "ApiError", "Fault", "LocalCluster", "NotSettled", "Request", "Response", "WallClock"]
