import { Converter, ReflectionKind } from "typedoc";

/**
 * The engine's methods are properties that hold bound functions, whose docstring stands at the signature that returns a
 * promise. TypeDoc looks for it at the property, so move it there.
 */
export function load({ converter }) {
  converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const property of project.getReflectionsByKind(ReflectionKind.Property)) {
      if (property.comment !== undefined || property.type?.type !== "reflection") continue;
      const documented = property.type.declaration.signatures?.find(({ comment }) => comment !== undefined);
      if (documented === undefined) continue;
      property.comment = documented.comment;
      documented.comment = undefined;
    }
  });
}
