"""Where artifacts live."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .base import ExactlyOne, Strict


class S3Location(Strict):
    """Where artifacts live."""

    bucket: str = Field(
        min_length=3,
        max_length=63,
        pattern=r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$",
        description="Bucket; it must exist.",
    )
    prefix: str = Field(
        "",
        max_length=512,
        pattern=r"^[A-Za-z0-9._/=-]*$",
        description="Key prefix; jobs under one prefix share labels and finished stages. Default: none.",
    )
    endpoint: str | None = Field(
        None, max_length=512, pattern=r"^https?://.+", description="Endpoint URL. Default: that of AWS."
    )
    region: str = Field("us-east-1", max_length=64, description="Region. Default us-east-1.")
    path_style: bool = Field(
        True, description="Address buckets by path (most S3 servers other than AWS). Default true."
    )


class StoreLocation(ExactlyOne):
    """The object store of a stage: S3 in a cluster, a folder in a shell."""

    s3: S3Location | None = Field(None, description="S3 or anything that speaks it.")
    directory: Annotated[str, Field(pattern=r"^file:///.+")] | None = Field(
        None, description="A folder, as file:///path."
    )
