// Overview.

export const title = 'Overview';

export function mount(root, context) {
  root.append(context.actions.emptyState('Overview is not available yet.'));
  return () => {};
}
