"""What a service mesh has to be told of the app's pods. Pure.

A mesh's proxy has to be there before the app and until its last client is gone. Sidecars of
Kubernetes' own (init containers that are restarted) do that: they get SIGTERM once the app has
ended. The protocol is said by `appProtocol` of the Service: Istio takes kubernetes.io/ws for HTTP,
Linkerd passes it on as it is.
"""

from __future__ import annotations

from wsdeploy.cluster.target import ClusterTarget

LINKERD_PORT = 4143
"""Where Linkerd's proxy takes what comes from other pods of the mesh, whichever port they mean."""


def pod_labels(target: ClusterTarget) -> dict[str, str]:
    """Return the labels of a pod of the mesh."""
    return {"sidecar.istio.io/inject": "true"} if target.kubernetes.mesh == "istio" else {}


def pod_annotations(target: ClusterTarget) -> dict[str, str]:
    """Return the annotations of a pod of the mesh.

    Both meshes have made such sidecars for some releases by default, unless an administrator has
    decided otherwise. Without one, Istio's proxy ends 5 s after SIGTERM, with all connections.
    """
    match target.kubernetes.mesh:
        case "istio":
            return {"sidecar.istio.io/nativeSidecar": "true"}
        case "linkerd":
            return {
                "linkerd.io/inject": "enabled",
                "config.beta.linkerd.io/proxy-enable-native-sidecar": "true",
            }
    return {}
