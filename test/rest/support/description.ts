import { Ajv2020 } from "ajv/dist/2020.js";

interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  required: boolean;
  description: string;
  schema: { type: string; minimum?: number; minLength?: number; maxLength?: number; pattern?: string };
}

export interface Response {
  headers?: Record<string, object>;
  content: Record<string, { schema: object }>;
}

export interface Operation {
  operationId: string;
  parameters?: Parameter[];
  requestBody?: { required: boolean };
  security?: unknown[];
  responses: Record<string, Response>;
}

export interface Description {
  paths: Record<string, Record<string, Operation>>;
  info: { description: string };
  security?: unknown[];
  components: { schemas: Record<string, { properties?: object }>; securitySchemes?: object };
}

/** The operations in the order of the description. */
export function operationsOf({ paths }: Description): { method: string; path: string; operation: Operation }[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
}

/** Returns a function that validates a value. Its result is empty if the value is valid. Unknown properties are errors. */
export function validatorOf(description: Description): (schema: object, value: unknown) => string {
  const strict = structuredClone(description);
  for (const schema of Object.values(strict.components.schemas)) {
    if (schema.properties !== undefined) Object.assign(schema, { additionalProperties: false });
  }
  const ajv = new Ajv2020({ allErrors: true, strict: false });
  ajv.addSchema({ ...strict, $id: "https://test/openapi.json" }, undefined, undefined, false);
  return (schema, value) => {
    const local = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"https://test/openapi.json#/'));
    return ajv.validate(local, value) ? "" : ajv.errorsText();
  };
}

export function fail(): never {
  throw new Error("The description lacks this response");
}
