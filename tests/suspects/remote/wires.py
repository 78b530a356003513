"""What the requests of each protocol must look like, as models that accept nothing else; adapters know none of them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


Text = Annotated[str, Field(min_length=1)]


class OpenAiEmbeddings(Wire):
    model: Text
    input: Text | Annotated[list[Text], Field(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: str | None = None


class OpenAiCompletions(Wire):
    model: Text
    prompt: str
    max_tokens: Annotated[int, Field(ge=0)] = 16
    temperature: Annotated[float, Field(ge=0, le=2)] = 1
    top_p: Annotated[float, Field(ge=0, le=1)] = 1
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    echo: bool = False
    prompt_logprobs: Annotated[int, Field(ge=0)] | None = None


class Message(Wire):
    role: Literal["system", "user", "assistant"]
    content: str


class OpenAiChat(Wire):
    model: Text
    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] = 1
    top_p: Annotated[float, Field(ge=0, le=1)] = 1
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None


class TeiEmbed(Wire):
    inputs: str | Annotated[list[str], Field(max_length=32)]
    normalize: bool = True
    truncate: bool = False
    prompt_name: str | None = None


class TeiPredict(Wire):
    inputs: str | list[Annotated[list[str], Field(min_length=1, max_length=2)]]
    raw_scores: bool = False
    truncate: bool = False


class Ollama(Wire):
    model: Text
    input: str | list[str]
    truncate: bool = True
    dimensions: int | None = None


class Cohere(Wire):
    model: Text
    input_type: Literal["search_document", "search_query", "classification", "clustering"]
    texts: Annotated[list[str], Field(max_length=96)]
    embedding_types: list[Literal["float", "int8", "uint8", "binary", "ubinary", "base64"]]
    truncate: Literal["NONE", "START", "END"] = "END"
    output_dimension: int | None = None


class Voyage(Wire):
    model: Text
    input: str | Annotated[list[str], Field(max_length=1000)]
    input_type: Literal["query", "document"] | None = None
    truncation: bool = True
    output_dimension: int | None = None
    output_dtype: Literal["float", "int8", "uint8", "binary", "ubinary"] = "float"


class HuggingFace(Wire):
    inputs: str
    parameters: dict[Literal["top_k", "function_to_apply"], Any] = {}
    normalize: bool | None = None
    truncate: bool | None = None


class Tensor(Wire):
    name: Text
    shape: list[Annotated[int, Field(ge=1)]]
    datatype: Literal["BYTES", "FP32", "FP64", "UINT8", "INT64"]
    data: list[Any]
    parameters: dict[str, Any] = {}


class Wanted(Wire):
    name: Text
    parameters: dict[str, Any] = {}


class Infer(Wire):
    id: str | None = None
    parameters: dict[str, Any] = {}
    inputs: Annotated[list[Tensor], Field(min_length=1)]
    outputs: list[Wanted] = []


class VllmInput(Wire):
    model: Text
    input: str | list[str]
    encoding_format: Literal["float", "base64"] | None = None
