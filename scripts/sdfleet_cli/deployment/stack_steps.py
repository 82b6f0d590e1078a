"""The steps that are CloudFormation's: the CDK's bootstrap and the stacks."""

from __future__ import annotations

from collections.abc import Mapping

from sdfleet.domain import names
from sdfleet_cli.deployment.cdk_app import CdkApp, foundation_stack, image_stack
from sdfleet_cli.deployment.first_release import prepare_parameters, release_of
from sdfleet_cli.deployment.session import Session

#: What `cdk bootstrap` names its stack.
TOOLKIT_STACK = "CDKToolkit"


class Bootstrap:
    name = "bootstrap"
    title = "CDK bootstrap"

    def inputs(self, session: Session) -> Mapping[str, object]:
        return {}

    def holds(self, session: Session) -> bool:
        stack = session.stacks.find(TOOLKIT_STACK)
        return stack is not None and stack.is_usable

    def run(self, session: Session) -> Mapping[str, str]:
        if self.holds(session):
            session.note("the account is bootstrapped for the CDK already")
        else:
            CdkApp(session).bootstrap()
        return {}


class Foundation:
    name = "foundation"
    title = "Foundation: buckets, table, topics, queues"

    def inputs(self, session: Session) -> Mapping[str, object]:
        return _stack_inputs(session)

    def holds(self, session: Session) -> bool:
        return _is_usable(session, foundation_stack(session.deployment_id))

    def run(self, session: Session) -> Mapping[str, str]:
        CdkApp(session).deploy(foundation_stack(session.deployment_id))
        return {}


class ImagePipeline:
    """Only where something of it is wanted."""

    name = "pipeline"
    title = "Image pipeline"

    def inputs(self, session: Session) -> Mapping[str, object]:
        return {**_stack_inputs(session), "is_built_on_aws": session.options.is_built_on_aws}

    def holds(self, session: Session) -> bool:
        return not is_wanted(session) or _is_usable(session, image_stack(session.deployment_id))

    def run(self, session: Session) -> Mapping[str, str]:
        if is_wanted(session):
            CdkApp(session).deploy(image_stack(session.deployment_id))
        else:
            session.note("not wanted: images are built here, and imagePipeline.enabled is false")
        return {}


class Service:
    name = "service"
    title = "Service: API, fleets, scaling, alarms (10 to 20 minutes the first time)"

    def inputs(self, session: Session) -> Mapping[str, object]:
        runtimes = session.config.runtimes
        return {**_stack_inputs(session), "releases": {one.name: release_of(session, one.name) for one in runtimes}}

    def holds(self, session: Session) -> bool:
        stack = session.stacks.find(session.deployment_id)
        return stack is not None and stack.is_usable and session.journal.read_outputs() == stack.outputs

    def run(self, session: Session) -> Mapping[str, str]:
        prepare_parameters(session)
        stack = CdkApp(session).deploy(session.deployment_id)
        session.journal.write_outputs(stack.outputs)
        return {}


def is_wanted(session: Session) -> bool:
    return session.config.image_pipeline.enabled or session.options.is_built_on_aws


def _stack_inputs(session: Session) -> Mapping[str, object]:
    return {
        "config": session.config.model_dump(mode="json"),
        "deployment": session.deployment_id,
        "sources": session.source_digest(),
    }


def _is_usable(session: Session, name: str) -> bool:
    stack = session.stacks.find(name)
    return stack is not None and stack.is_usable


def fleet_names(session: Session) -> list[str]:
    return [names.fleet_name(session.deployment_id, one.name) for one in session.config.runtimes]
