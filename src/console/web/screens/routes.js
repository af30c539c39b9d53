// Routes.

export const title = 'Routes';

export function mount(root, context) {
  root.append(context.actions.emptyState('Routes is not available yet.'));
  return () => {};
}
