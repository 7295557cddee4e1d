"""From what a plan's steps came to, to an image in the store: squashed, retimed, attested as asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from corten.builder.attest import Attest, Circumstances
from corten.builder.cache import BuildCache
from corten.builder.graph import Step
from corten.builder.imaging import BuiltImage, image_config, store_image
from corten.builder.plan import Plan
from corten.builder.stacks import Stacks
from corten.builder.worker import Result
from corten.errors import Invalid
from corten.events.job import Job
from corten.oci.descriptor import Descriptor
from corten.oci.image_config import ImageConfig

Compress = Callable[[Descriptor, Job], Descriptor]
"""Gives the same image with the layers that a registry gets: a statement names its manifest."""


class Finish(NamedTuple):
    """How images are finished; the fields are those of `BuildRequest` and `Equipment`.

    What is seldom asked for is imported when it is.
    """

    squash: bool
    rewrite_times: bool
    attest: Attest
    stacks: Stacks
    cache: BuildCache
    compress: Compress

    @property
    def changes_layers(self) -> bool:
        """Whether the image's layers are others than those of its steps."""
        return self.squash or self.rewrite_times

    def config(self, plan: Plan, results: Mapping[Step, Result]) -> ImageConfig:
        """The image's configuration.  Raises: Invalid: times are to be rewritten, and to none."""
        config = image_config(plan, results)
        base = plan.base.config if plan.base else None
        if self.squash:
            from corten.builder.squash import squashed

            config = squashed(config, base, self.stacks, self.cache)
        if not self.rewrite_times:
            return config
        if plan.epoch is None:
            raise Invalid(
                "rewrite-timestamp needs a time", hint="--build-arg SOURCE_DATE_EPOCH=SECONDS"
            )
        from corten.builder.retiming import retimed

        return retimed(config, base, plan.epoch, self.stacks, self.cache)

    def image(
        self,
        plan: Plan,
        config: ImageConfig,
        notes: Mapping[str, str],
        made_of: Circumstances,
        job: Job,
    ) -> BuiltImage:
        """The image in the store, without a name; `notes` are its manifest's annotations."""
        image = store_image(config, self.stacks, notes)
        image = msgspec.structs.replace(image, epoch=plan.epoch)
        if not self.attest.any:
            return image
        from corten.builder.attesting import attested

        final = self.compress(image.descriptor, job)
        image = msgspec.structs.replace(image, descriptor=final)
        return attested(image, plan, self.attest, made_of, self.stacks, self.cache)
