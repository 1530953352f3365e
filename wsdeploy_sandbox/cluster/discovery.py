"""What the API says of itself: which kinds it has, and that it validates them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from wsdeploy_sandbox.cluster.store import RESOURCES, Object, Resource

VERSION = {"major": "1", "minor": "37", "gitVersion": "v1.37.0+stand-in", "platform": "linux/amd64"}
VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
    for name in ("dryRun", "fieldManager", "fieldValidation", "force")
]


def answer(path: str) -> Object | None:
    """Return what is asked for under a path; None if that is not about the API itself."""
    groups = {it.group: _group(it) for it in RESOURCES if it.group}
    of_all: Object = {
        "/version": VERSION,
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"apiVersion": "v1", "kind": "APIGroupList", "groups": [*groups.values()]},
    }
    for name, group in groups.items():
        of_all[f"/apis/{name}"] = {"apiVersion": "v1", "kind": "APIGroup", **group}
    if path in of_all:
        found: Object = of_all[path]
        return found
    if path.startswith("/openapi/v3"):
        return _schemas(path.removeprefix("/openapi/v3"))
    for it in RESOURCES:
        if path == _path(it):
            head = {"apiVersion": "v1", "kind": "APIResourceList", "groupVersion": it.version}
            same = [each for each in RESOURCES if each.version == it.version]
            return {**head, "resources": [entry for each in same for entry in _entries(each)]}
    return None


def _path(resource: Resource) -> str:
    return f"/apis/{resource.version}" if resource.group else f"/api/{resource.version}"


def _group(resource: Resource) -> Object:
    version = resource.version.rpartition("/")[2]
    entry = {"groupVersion": resource.version, "version": version}
    return {"name": resource.group, "versions": [entry], "preferredVersion": entry}


def _entries(resource: Resource) -> Iterator[Object]:
    entry = {
        "name": resource.plural,
        "singularName": resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": VERBS,
    }
    yield entry | {"shortNames": [*resource.short]}
    for sub in resource.subresources:
        scale = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
        its = {"name": f"{resource.plural}/{sub}", "verbs": ["get", "patch", "update"]}
        yield entry | its | (scale if sub == "scale" else {})


def _schemas(path: str) -> Object:
    """Return all that kubectl looks for: which kinds this server validates itself."""
    if not path:
        places = {_path(it) for it in RESOURCES}
        listed = {it[1:]: {"serverRelativeURL": f"/openapi/v3{it}"} for it in sorted(places)}
        return {"paths": listed}
    found: Object = {}
    for it in RESOURCES:
        if path == _path(it):
            version = it.version.rpartition("/")[2]
            kind = {"group": it.group, "version": version, "kind": it.kind}
            patch = {"parameters": PARAMETERS, "x-kubernetes-group-version-kind": kind}
            found[f"/{it.plural}/{{name}}"] = {"patch": patch}
    info = {"title": "Kubernetes", "version": VERSION["gitVersion"]}
    return {"openapi": "3.0.0", "info": info, "paths": found, "components": {"schemas": {}}}
