"""What is sent to a cluster for a release: the wanted objects, next to what is there. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wsdeploy.cluster import changes, fields, found, network, rollout
from wsdeploy.cluster.changes import Change, Stage
from wsdeploy.cluster.found import Found
from wsdeploy.cluster.manifest import Object
from wsdeploy.cluster.target import ClusterTarget
from wshost.requests import Commit

RESTARTED = "kubectl.kubernetes.io/restartedAt"
"""The annotation by which kubectl, too, lets pods be replaced by the same."""


@dataclass(frozen=True)
class Plan:
    """What a run is to do with the objects of a service."""

    there: Found
    wanted: tuple[Object, ...]
    changes: tuple[Change, ...]

    @property
    def leftovers(self) -> list[Object]:
        """Objects of ours that go."""
        return changes.leftovers(self.wanted, self.there)

    @property
    def is_unfinished(self) -> bool:
        """Tell whether an earlier run has left a rollout half done.

        Old pods serve beside new ones, or not all pods of a first release have ever served.
        """
        there, name = self.there, self.there.service
        deployment = there.deployment(name)
        if deployment is None:
            return False
        live, state = there.live(name), rollout.look(there, name)
        if live is None or rollout.is_under_way(deployment):
            return not state.done
        return live is not there.current(name) or bool(state.old)

    def of(self, stage: Stage) -> list[Change]:
        """Return the changes of a stage, in the order of applying."""
        mine = [each for each in self.changes if changes.stage(each, self.there.service) == stage]
        return changes.ordered(mine) + ([*self._widened()] if stage == "before" else [])

    def _widened(self) -> Iterator[Change]:
        """Yield policies that let in whom those let in that are there, and whom new ones will.

        After the pods, what only old ones need is closed.
        """
        for each in self.changes:
            if each.before is not None and each.wanted["kind"] == "NetworkPolicy":
                both = network.widened(each.wanted, each.before)
                yield Change(both, each.before, both)


def image_there(target: ClusterTarget, there: Found) -> str | None:
    """Return the image of the pods that serve, if it is the wanted one.

    A digest that it has stays, and none is added: both would make new pods of the same release.
    What a Deployment asks for may be nowhere: pods of it have to have been ready.
    """
    live = there.live(target.name)
    if live is None or there.deployment(target.name) is None:
        return None
    images = [each["image"] for each in found.containers(live["spec"]["template"])]
    return next((it for it in images if it.partition("@")[0] == target.image), None)


def prepared(
    target: ClusterTarget, objects: Iterable[Object], there: Found, commit: Commit | None
) -> tuple[Object, ...]:
    """Return the objects as they are sent: the Deployment knows its release and its number of pods.

    commit: what the release was built from, which is noted with it.
    """
    return tuple(
        _deployment(target, each, there, commit)
        if found.key(each) == ("Deployment", target.name)
        else _encoded(each)
        for each in objects
    )


def _deployment(target: ClusterTarget, each: Object, there: Found, commit: Commit | None) -> Object:
    live = there.deployment(target.name)
    same = live is not None and found.annotation(live, found.RELEASE) == target.release
    kept = {
        name: found.annotation(live, f"{found.MANAGER}/{name}") if live else None
        for name in ("commit", "by", "since", "previous")
    }
    if not same or kept["commit"] is None:
        kept["commit"] = changes.commit_text(commit)
    wanted = changes.noted(each, release=target.release, **kept)
    if live is not None and (when := _restarted(live)):
        wanted = restarted(wanted, when)
    if has_replicas(wanted):
        return wanted
    # An autoscaler has the number. Without one at first, a Deployment has a single pod.
    if live is None:
        return wanted | {"spec": wanted["spec"] | {"replicas": target.kubernetes.least}}
    return with_replicas(wanted, live) if fields.owns(live, "spec", "replicas") else wanted


def with_replicas(wanted: Object, live: Object) -> Object:
    """Return a Deployment with as many pods as there are.

    Of a number that was ours and is not any more, the cluster leaves one pod.
    """
    return wanted | {"spec": wanted["spec"] | {"replicas": live["spec"].get("replicas", 1)}}


def has_replicas(each: Object) -> bool:
    """Tell whether an object says how many pods there are to be."""
    return each["kind"] == "Deployment" and "replicas" in each["spec"]


def restarted(deployment: Object, when: str) -> Object:
    """Return a Deployment whose pods were all replaced at a time."""
    spec, template = deployment["spec"], deployment["spec"]["template"]
    metadata = template.get("metadata") or {}
    told = {**(metadata.get("annotations") or {}), RESTARTED: when}
    return deployment | {
        "spec": spec | {"template": template | {"metadata": metadata | {"annotations": told}}}
    }


def _restarted(live: Object) -> str | None:
    """Return when we have replaced its pods; without that, the next deploy would do so again."""
    noted = (live["spec"]["template"].get("metadata") or {}).get("annotations") or {}
    ours = fields.owns(live, "spec", "template", "metadata", "annotations", RESTARTED)
    return noted.get(RESTARTED) if ours else None


def _encoded(each: Object) -> Object:
    """Return a Secret with its values as the cluster keeps them, and anything else as it is."""
    if "stringData" not in each:
        return each
    data = {k: base64.b64encode(v.encode()).decode() for k, v in each["stringData"].items()}
    return {name: it for name, it in each.items() if name != "stringData"} | {"data": data}


def previous(there: Found, made: Object) -> str | None:
    """Return the ReplicaSet that a rollback goes back to, once there are other pods.

    made: the Deployment or ReplicaSet that those are made from, as the cluster has it.
    """
    live = there.live(there.service)
    if live is None:
        return None
    if fields.template(live) == fields.template(made):
        # What serves comes back, and what is in between has not served.
        return found.annotation(live, found.PREVIOUS)
    name: str = live["metadata"]["name"]
    return name


def makes_pods(change: Change) -> bool:
    """Tell whether a Deployment's change replaces its pods."""
    before = change.before
    return before is None or before["spec"]["template"] != change.after["spec"]["template"]
